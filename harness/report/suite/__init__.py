"""What is shown of a suite: a table, a page, JUnit and Markdown, all from its record alone."""
