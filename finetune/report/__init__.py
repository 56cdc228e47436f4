"""What people read: tables and figures, made of records and arrays with no model and no GPU."""
