"""The warehouse REST API and its pages: FastAPI routers over the Warehouse."""
