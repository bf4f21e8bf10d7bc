"""What each command does, callable from Python: joins the stages, and is the only place that knows them all."""
