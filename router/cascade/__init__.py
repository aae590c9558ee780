"""Runs a plan: attempts, the judging of their answers, the commit point, failures and their bookkeeping."""
