"""People who do not exist: a small renderer in plain PyTorch that knows, for every pixel, where that point of the face was before.

One way through the rooms, each a noun of the task:

    wheel -> head            the CC0 mesh, its identity targets and its 52 expression units
    person, hair             one person: shape, skin, hair, glasses, clothes
    acting                   what the person does in each frame: expression, gaze, pose
    posing                   vertices of one frame
    raster -> materials -> shading -> renderer       the picture of one frame
    truth                    exact flow, visibility, landmarks and local affine frames between frames
    looks                    paintings, drawings, old photographs
    clips                    all of it on disk

Units: decimetres in the head's rest frame (x to the person's left, y up, z to the camera), linear light, radians; pixel (i, j) has
its centre at (j + 0.5, i + 0.5). No photo or video of anybody is used anywhere.
"""
