"""The registry of methods, by the names that rows use. One line each: all else stands in the method's own file."""

from baselines.cofi import CoFi, CoFiFamily, CoFiLayersTotal
from baselines.distilbert import DistilBert
from baselines.fisher import Fisher, FisherRecovered
from baselines.infor_coef import InforCoef, InforCoefNoEntropy, InforCoefNoNorm, InforCoefSkim
from baselines.lora import FisherLoRA, MagnitudeLoRA, RandomLoRA
from baselines.ltp import LTP
from baselines.one_shot import Magnitude, Random
from baselines.power_bert import PowerBert
from baselines.tinybert import TinyBert
from baselines.torch_pruning import TorchPruningMagnitude, TorchPruningTaylor
from baselines.transkimmer import Transkimmer
from baselines.widths import RandomCoFiWidths, RandomVTransWidths
from vtrans.errors import SuiteError, did_you_mean
from vtrans.methods.agnostic import CoFiAgnostic, VTransAgnostic
from vtrans.methods.base import Method
from vtrans.methods.decoder import FasterVTransLLM, FasterVTransLLMLoRA
from vtrans.methods.dense import Dense, DenseLonger
from vtrans.methods.family import VTransFamily
from vtrans.methods.vtrans import FasterVTrans, FastVTrans, FastVTransLong, VTrans, VTransTotal
from vtrans.selectors import SelectorSpec


def registered(*methods: type[Method]) -> dict[str, type[Method]]:
    """Methods by name.

    Raises:
        SuiteError: one lacks what rows and tables need of it, or shares its name with another.
    """
    known: dict[str, type[Method]] = {}
    for method in methods:
        missing = [name for name in ("name", "summary", "sized") if getattr(method, name, "") == ""]
        if missing:
            raise SuiteError(f"method {method.__name__} declares no {missing[0]}", "see `vtrans.methods.base.Method`")
        if not isinstance(method.sized, bool):
            raise SuiteError(f"method {method.name} is neither sized nor not", "declare `sized` True or False")
        if method.sized and method.target is Method.target and not method.text_method:
            raise SuiteError(f"method {method.name} is sized and names no size", "define `target`")
        if method.selector is not None and not isinstance(method.selector, SelectorSpec):
            raise SuiteError(f"method {method.name} names no selector with MACs", "declare a `SelectorSpec`")
        if method.scalable and method.scaled is Method.scaled:
            raise SuiteError(f"method {method.name} is scalable and cannot be scaled", "define `scaled`")
        if method.name.lower() in map(str.lower, known):
            raise SuiteError(f"two methods are called {method.name}", "rename one")
        known[method.name] = method
    return known


METHODS = registered(
    Dense,
    DenseLonger,
    Random,
    Magnitude,
    RandomVTransWidths,
    RandomCoFiWidths,
    Fisher,
    FisherRecovered,
    TorchPruningMagnitude,
    TorchPruningTaylor,
    CoFi,
    VTrans,
    FastVTrans,
    FastVTransLong,
    FasterVTrans,
    DistilBert,
    TinyBert,
    VTransFamily,
    CoFiFamily,
    VTransTotal,
    CoFiLayersTotal,
    VTransAgnostic,
    CoFiAgnostic,
    FasterVTransLLM,
    FasterVTransLLMLoRA,
    RandomLoRA,
    MagnitudeLoRA,
    FisherLoRA,
    Transkimmer,
    PowerBert,
    LTP,
    InforCoef,
    InforCoefNoEntropy,
    InforCoefNoNorm,
    InforCoefSkim,
)
JOINT = {
    "Infor-Coef-4x": "CoFi-s60+Infor-Coef",
    "Infor-Coef-16x": "CoFi-s95+Infor-Coef",
    "VTrans+Infor-Coef": "VTrans-s60+Infor-Coef",
}


def method_name(name: str) -> str:
    """The registry's spelling of a method's name.

    Raises:
        SuiteError: there is none.
    """
    known = {key.lower(): key for key in METHODS}
    if name in JOINT:
        raise SuiteError(f"{name} is the row {JOINT[name]}", "name one of its methods")
    if name.lower() not in known:
        raise did_you_mean("method", name, [*METHODS, *JOINT])
    return known[name.lower()]
