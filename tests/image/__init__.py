"""The container image: its Dockerfile, the Compose file, and the file system that the build makes."""
