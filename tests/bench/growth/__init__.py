"""Measure how much the queries of a project read as its tables grow. These files run in the project."""
