"""Keys of advisory locks: numbers without a meaning, which have to differ."""

MIGRATION = 4_862_019_173
PURGE = 4_862_019_174
BULK_CREATION = 4_862_019_175
RECOUNT = 4_862_019_176
