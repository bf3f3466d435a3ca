"""Recipes: which real server on this machine stands for an image of a Compose file.

    recipe = recipe_for(service)
    program = await recipe.install(instance, place, run)

docs/reference/local-images.md lists them.
"""

from __future__ import annotations

from lab.engines.local.recipes import common, haproxy, nats, nginx, postgres, python, valkey
from lab.engines.local.recipes.recipe import Recipe, repository
from lab.errors import EngineError
from lab.topology import Service

__all__ = ["RECIPES", "Recipe", "notes", "recipe_for", "why_not"]

RECIPES: tuple[Recipe, ...] = (
    python.RECIPE,
    postgres.RECIPE,
    valkey.RECIPE,
    haproxy.RECIPE,
    nginx.RECIPE,
    nats.RECIPE,
)


def recipe_for(service: Service) -> Recipe:
    """The recipe for a service; whatever is built is Python.

    Raises:
        EngineError: there is none for its image.
    """
    if service.build:
        return python.RECIPE
    image = service.image or ""
    for recipe in RECIPES:
        if repository(image) in recipe.images:
            return recipe
    known = ", ".join(sorted(name for recipe in RECIPES for name in recipe.images))
    raise EngineError(
        f"`{service.name}` runs {image}, for which this machine has no server of its own; "
        f"without Docker there are: {known}, and services built on Python",
        remedy="use --engine docker",
    )


def why_not(service: Service) -> list[str]:
    """Why a service cannot run as a process on this machine; empty when nothing speaks against it.

    Looks, but starts nothing.
    """
    try:
        recipe = recipe_for(service)
    except EngineError as error:
        return [error.message]
    return common.refusals(service, recipe)


def notes(service: Service) -> list[str]:
    """In which ways a service is not what its Compose file says, although it runs."""
    return common.remarks(service, recipe_for(service))
