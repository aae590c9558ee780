"""What another policy would have done with the requests of the ledger, and estimates of what it is worth."""
