"""Recognition: which stages of a plan are a convolution, a matrix product or a pool.

A window whose places are all summed together with a weight, and whose base is only carried along,
is a spatial dimension of a convolution; the other labels are batch, groups, channels or further
spatial dimensions by the tensors they stand in. What fits nothing stays with views and einsum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from syno.ir.coord import Coord
from syno.lower.layout import Axes
from syno.lower.pieces import Labels, View

MAX_WINDOWS = 2


@dataclass
class Window:
    """A window, or a stride alone, left to a library call: `label` is the axis it slides over.

    `base` are the labels that remain, `places` those inside the window, after views on either.
    """

    view: View
    label: Coord
    base: Labels
    places: Labels
    strided: bool = False
    dilated: bool = False


@dataclass(frozen=True)
class Roles:
    """The labels of a contraction by role; windows are not among them.

    Labels that are summed and stand in the tensor alone have to be gone before.
    """

    kept: Labels  # in the tensor only, stays
    grouped: Labels  # in both, stays
    contracted: Labels  # in both, summed
    added: Labels  # in the weight only, stays
    weight_summed: Labels


@dataclass(frozen=True)
class Convolution:
    """Batch, channel and one or two spatial axes; a spatial axis may carry no window at all."""

    batch: Labels
    grouped: Labels
    contracted: Labels
    added: Labels
    spatial: Axes


@dataclass(frozen=True)
class Linear:
    """A matrix product whose contracted labels stand last in the tensor."""

    kept: Labels
    contracted: Labels
    added: Labels


@dataclass(frozen=True)
class Product:
    """A batched matrix product with the contracted labels before the kept ones.

    A convolution with groups and no window computes the same, several times slower on a CPU.
    """

    batch: Labels
    grouped: Labels
    contracted: Labels
    added: Labels
    columns: Labels


@dataclass(frozen=True)
class Scale:
    """An elementwise product: nothing is summed; labels that the weight adds broadcast the data."""

    grouped: Labels
    added: Labels


Call = Convolution | Linear | Product | Scale | None


@dataclass
class _Scan:
    """The windows of a stage that nothing later in the stage looks into."""

    excluded: frozenset[int]
    parts: dict[Coord, Labels]
    windows: dict[int, Window] = field(default_factory=dict)
    spoiled: set[int] = field(default_factory=set)

    def atoms(self, label: Coord) -> Labels:
        if label not in self.parts:
            return (label,)
        return tuple(atom for part in self.parts[label] for atom in self.atoms(part))

    def view(self, view: View) -> None:
        if view.op == "merge":
            self.parts[view.after[0]] = view.before
            return
        if view.op == "stride" and self._stride(view):
            return
        if view.op == "split" and self._split(view):
            return
        touched = {atom for label in view.before for atom in self.atoms(label)}
        for number, window in self.windows.items():
            if touched & {*window.base, *window.places}:
                self.spoiled.add(number)
        if view.op in ("unfold", "stride") and view.number not in self.excluded:
            base, *place = view.after
            strided = view.op == "stride"  # a window of one place, in steps
            made = Window(view, view.before[0], (base,), tuple(place), strided)
            self.windows[view.number] = made

    def _stride(self, view: View) -> bool:
        for window in self.windows.values():
            if window.base == view.before and not window.strided:
                window.base, window.strided = view.after, True
                return True
            if window.places == view.before and not window.dilated:
                window.places, window.dilated = view.after, True
                return True
        return False

    def _split(self, view: View) -> bool:
        label = view.before[0]
        for window in self.windows.values():
            if label in window.base:
                window.base = _replace(window.base, label, view.after)
                return True
            if label in window.places:
                window.places = _replace(window.places, label, view.after)
                return True
        return False


def windows_of(
    views: Iterable[View],
    parts: Mapping[Coord, Labels],
    weight: frozenset[Coord] | None,
    summed: frozenset[Coord],
) -> dict[int, Window]:
    """Return the windows among `views` that a library call can take over, by number of the view.

    `weight` are the labels of the factor (None: a plain sum), `summed` the labels summed in it.
    """
    excluded: frozenset[int] = frozenset()
    while True:
        scan = _Scan(excluded, dict(parts))
        for view in views:
            scan.view(view)
        bad = scan.spoiled or {
            number for number, window in scan.windows.items() if not _fits(window, weight, summed)
        }
        bad = bad or set(sorted(scan.windows)[MAX_WINDOWS:])
        if not bad:
            return scan.windows
        excluded |= bad


def _fits(window: Window, weight: frozenset[Coord] | None, summed: frozenset[Coord]) -> bool:
    base, places = set(window.base), set(window.places)
    if weight is None and not places:
        return False
    if base & summed or not places <= summed:
        return False
    return weight is None or (places <= weight and not base & weight)


def roles_of(tensor: Labels, weight: Labels, summed: frozenset[Coord]) -> Roles:
    """Sort the labels of a contraction by role, each in the order in which it stands."""
    own, other = set(tensor), set(weight)
    return Roles(
        kept=tuple(label for label in tensor if label not in other and label not in summed),
        grouped=tuple(label for label in tensor if label in other and label not in summed),
        contracted=tuple(label for label in tensor if label in other and label in summed),
        added=tuple(label for label in weight if label not in own and label not in summed),
        weight_summed=tuple(label for label in weight if label not in own and label in summed),
    )


def recognize(tensor: Labels, windows: Mapping[Coord, Window], roles: Roles) -> Call:
    """Return the library call that computes a contraction, or None.

    `tensor` are the labels of the data in memory order, with the label of its axis for each window;
    `roles` were taken without windows.
    """
    if not windows and not roles.contracted:
        return Scale(roles.grouped, roles.added)
    if not windows and not roles.grouped and tensor[-len(roles.contracted) :] == roles.contracted:
        return Linear(roles.kept, roles.contracted, roles.added)
    made = as_convolution(tensor, windows, roles)
    if made is None or windows or not roles.grouped:
        return made
    columns = tuple(label for axis in made.spatial for label in axis)
    return Product(made.batch, made.grouped, made.contracted, made.added, columns)


def as_convolution(
    tensor: Labels, windows: Mapping[Coord, Window], roles: Roles
) -> Convolution | None:
    """Return the convolution that computes a contraction, or None where no axis is spatial."""
    channels = {*roles.grouped, *roles.contracted}
    first = next(place for place, label in enumerate(tensor) if label in channels | set(windows))
    batch = list(tensor[:first])
    spatial: list[Labels] = []
    after = [label for label in tensor[first:] if label not in channels]
    for label in after:
        joins = label not in windows and spatial and spatial[-1][-1] not in windows
        if joins and len(after) > MAX_WINDOWS:
            spatial[-1] = (*spatial[-1], label)
        else:
            spatial.append((label,))
    while len(spatial) > MAX_WINDOWS:
        free = [axis for axis in spatial if axis[0] not in windows]
        spatial.remove(free[-1])
        batch.extend(free[-1])
    if not spatial:
        return None  # a batched product: einsum knows it
    return Convolution(tuple(batch), roles.grouped, roles.contracted, roles.added, tuple(spatial))


def _replace(labels: Labels, old: Coord, new: Labels) -> Labels:
    return tuple(each for label in labels for each in (new if label is old else (label,)))
