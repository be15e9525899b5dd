"""Which deployment is asked, in which order, and when to give up."""
