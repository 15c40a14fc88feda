"""What a host application, and this project, tests with."""
