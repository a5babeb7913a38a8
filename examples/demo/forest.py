"""A scikit-learn forest as a TorchScript model: the way to serve a traditional model on Tandem."""

import numpy as np
import torch


class Forest(torch.nn.Module):
    """All trees of a forest at once, as tables of nodes.

    Every row of the batch stands at one node of every tree and goes one level down in each step;
    leaves lead to themselves. Compares in double precision, as scikit-learn does, so that no row
    takes another branch.
    """

    def __init__(self, forest):
        super().__init__()
        trees = [estimator.tree_ for estimator in forest.estimators_]
        count = max(tree.node_count for tree in trees)
        shape = (len(trees), count)
        feature = np.zeros(shape, np.int64)
        threshold = np.full(shape, np.inf)
        children = np.tile(np.arange(count), (2, len(trees), 1))
        scores = np.zeros((*shape, forest.n_classes_))
        for index, tree in enumerate(trees):
            inner = np.flatnonzero(tree.children_left >= 0)
            feature[index, inner] = tree.feature[inner]
            threshold[index, inner] = tree.threshold[inner]
            children[0, index, inner] = tree.children_left[inner]
            children[1, index, inner] = tree.children_right[inner]
            votes = tree.value[:, 0, :]
            scores[index, : tree.node_count] = votes / votes.sum(axis=1, keepdims=True)
        self.depth = int(max(tree.max_depth for tree in trees))
        self.count = count
        # Flat tables: node n of tree t stands at t * count + n.
        for name, table in (
            ("feature", feature.reshape(-1)),
            ("threshold", threshold.reshape(-1)),
            ("left", children[0].reshape(-1)),
            ("right", children[1].reshape(-1)),
            ("scores", scores.reshape(-1, forest.n_classes_)),
            ("roots", np.arange(len(trees)) * count),
        ):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(table)))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows = image.double()
        roots = self.roots.unsqueeze(0)
        node = roots.expand(rows.size(0), roots.size(1))
        for _ in range(self.depth):
            value = rows.gather(1, self.feature[node])
            goes_left = value <= self.threshold[node]
            node = roots + torch.where(goes_left, self.left[node], self.right[node])
        return self.scores[node].mean(dim=1).float()
