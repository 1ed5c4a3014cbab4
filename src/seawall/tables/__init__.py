"""postmap(1), DATABASE_README: lookup tables, type:name, and the orders in which they are asked."""
