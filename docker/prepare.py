"""What the services need before they start: the catalogue's tables, the objects, and the Kafka topics.

May be run again at any time; it changes nothing that is there.
"""

from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster.warehouse.warehouse import open_warehouse


def main() -> None:
    """Create what is missing; raises when a database, the object store or Kafka does not answer."""
    open_warehouse().objects.check()
    create_topics(Connection.from_settings())


if __name__ == "__main__":
    main()
