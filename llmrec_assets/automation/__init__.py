"""What launches runs: jobs, sensors and schedules."""
