"""The tables that VTrans's claims ask for, measured; and its authors' printed ones for decoders."""
