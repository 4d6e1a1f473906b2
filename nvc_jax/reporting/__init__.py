"""A page that shows what a container keeps of its original, for people who must be able to trust it.

Read ``report`` first: it takes an ``excerpt`` of both volumes, measures it (``measures``), gives it to other
codecs where they are asked for (``against``), and puts what the container promises into words
(``guarantees``). ``sections`` lists what is on the page, in order. It draws slices (``planes``), curves
(``plots``) and renderings (``views``) in the style of ``svg``; ``page`` makes HTML of them, and fills in
``page.html``.

The package reads containers through ``container`` and ``evaluation``, and writes the page and nothing else;
it knows nothing of models, and encodes by other libraries only.
"""

from nvc_jax.reporting.report import report

__all__ = ["report"]
"""The one function of the package."""
