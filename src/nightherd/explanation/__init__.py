"""Where a detector looked, and how far such a picture can be believed: arrays in, arrays out.

`methods` names the ways to draw a saliency map; `faithfulness` and `randomisation` say what one is worth.
"""
