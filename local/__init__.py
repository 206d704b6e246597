"""The stack that runs without a cloud: emulator, object store, proxy, Airflow. A development tool."""
