"""Training a First Order Motion Model: from clips of anything that moves, or from people who do not exist.

Network, losses and data know nothing of each other; the trainer brings them together:

    recipe                 everything a run is determined by; the published ones by name
    footage, pairs         clips of any format -> pairs of frames, drawn by number so that a run can go on exactly where it stopped
    transform              random thin-plate warps, with their Jacobians
    discriminator          the multi-scale discriminator
    appearance, losses     perceptual or pattern distance; adversarial, feature matching, equivariance
    supervision            what synthetic clips know besides: landmarks, frames, flow, visibility
    trainer                one step
    checkpoint             state to go on from, and models that others can load
    journal                what happened: lines, curves, sample sheets
    run                    the loop
    evaluation             held-out figures

Nothing of the live path imports anything here.

Paper: Siarohin, Lathuilière, Tulyakov, Ricci, Sebe, "First Order Motion Model for Image Animation", NeurIPS 2019 ("FOMM" below).
"""
