"""What a running Airflow task needs, shared by the operators, the sensor and the pages."""
