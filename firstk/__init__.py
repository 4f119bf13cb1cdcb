"""What hung, slow and lying storage servers do to a download, in virtual time."""
