"""What a person does to a whole store: erase or export a user, check, back up, bring in."""
