"""The kernels of mixtures of experts: which experts a token goes to, and their matrices over the tokens they got."""
