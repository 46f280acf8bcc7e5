"""How events find those who handle them: mailboxes, and the router that fills them."""
