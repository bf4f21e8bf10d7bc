"""From detections to places on the ground and the GeoPackage that holds them."""
