"""Running a search: the study, processes with limits, and the main job."""
