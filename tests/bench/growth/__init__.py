"""What the queries of a project read while its tables grow; its files run in the project."""
