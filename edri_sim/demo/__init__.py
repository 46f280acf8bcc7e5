"""A photo service that makes thumbnails, run for real and then in simulated time: what ``edri-sim demo`` shows."""
