"""The data warehouse: catalogue, outbox, ledger, objects; every save is record + outbox + ledger in one transaction."""
