"""What faults that replace instances have in common: which version, and whether it runs."""

from __future__ import annotations

from pydantic import Field

from lab.engines import Cluster, Life, Replaceable, Version
from lab.faults.base import ServiceFault


class Replacing(ServiceFault):
    """A fault that puts another version in the place of instances."""

    env: dict[str, str] = Field(
        default_factory=dict,
        description="environment that is other than the topology's",
        examples=[{"VERSION": "2"}],
    )
    image: str | None = Field(default=None, description="another image (docker)")

    @property
    def version(self) -> Version:
        """The new one."""
        return Version(self.env, self.image)

    def words(self) -> str:
        """` by VERSION=2`; nothing when it is the same version."""
        changes = [f"{name}={value}" for name, value in self.env.items()]
        changes += [self.image] if self.image else []
        return f" by {', '.join(changes)}" if changes else ""

    async def prepare(self, cluster: Cluster) -> None:
        """Fetch the image; refuse what this engine cannot replace."""
        assert isinstance(cluster, Replaceable)  # noqa: S101 - `needs` was checked before
        for instance in self.instances(cluster.deployment):
            await cluster.provide(instance, self.version)

    def is_new(self, life: Life, earlier: Life | None) -> bool:
        """Whether it is another life than that, of the new version: by its environment and image.

        The image's own name is not kept by engines; another image has another id.
        """
        if earlier is None or life.number == earlier.number:
            return False
        fits = self.env.items() <= life.environment.items()
        return fits and (self.image is None or life.image != earlier.image)
