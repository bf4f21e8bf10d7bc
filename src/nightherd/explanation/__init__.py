"""Why a detector said what it said: saliency maps of single detections and misses, and how faithful the maps are."""
