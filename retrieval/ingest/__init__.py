"""From files to converted text: where documents come from, conversion in a locked-down process, jobs."""
