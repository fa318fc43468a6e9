"""Origin: who acts, within a request and outside all front doors."""

from app.core.origin import Origin, acting_as, authenticated_as, current_origin


def test_what_no_front_door_began_is_taken_for_a_command():
    assert current_origin().actor == "command"


def test_authentication_names_the_actor_of_this_request_alone():
    authenticated_as("user", 1, "nobody")
    with acting_as(Origin(address="192.0.2.1")) as origin:
        assert origin.actor == "anonymous"
        authenticated_as("user", 5, "ada")

        assert current_origin() == Origin("user", 5, "ada", "192.0.2.1")

    assert current_origin().actor == "command"
