"""How everything says what it is: invisible mark, label, C2PA credentials, signing, verification, consent."""
