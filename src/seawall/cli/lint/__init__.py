"""The linter of `seawall check`: one rule a fact that a postmaster should know, each a row in a table.

`rule` is what a rule and a finding are; `site` is what rules look at; the modules ``about_*`` hold the rules, each with
the table of its rows; `every_rule` puts the tables together and runs them.
"""
