"""When the runs of a spec start. Airflow loads these classes through the plugin of this package."""
