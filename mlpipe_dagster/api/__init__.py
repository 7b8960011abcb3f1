"""The data warehouse over HTTP: FastAPI routers, one noun a file, and the pages for people.

Domain code does not import it.
"""
