"""The report page: results read, findings in words, figures."""
