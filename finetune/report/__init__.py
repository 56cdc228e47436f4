"""What people read: tables, rebuilt from result records with no model and no GPU."""
