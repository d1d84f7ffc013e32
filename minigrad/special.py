"""Special functions, as `torch.special`."""

from minigrad._declare import PUBLIC as _PUBLIC

globals().update({name.removeprefix("special."): made for name, made in _PUBLIC.items() if name.startswith("special.")})
