"""What the HTML pages share: templates, style and pictures."""
