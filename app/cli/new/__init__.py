"""`backend new`: writes the code of a resource, and gives a clone the name of a product."""
