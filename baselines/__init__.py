"""The other methods, built on `vtrans`: `from baselines import CoFi`, for `vtrans.compress`."""

from baselines.cofi import CoFi, CoFiFamily
from baselines.distilbert import DistilBert
from baselines.fisher import Fisher, FisherRecovered
from baselines.infor_coef import InforCoef
from baselines.ltp import LTP
from baselines.one_shot import Magnitude, Random
from baselines.power_bert import PowerBert
from baselines.tinybert import TinyBert
from baselines.torch_pruning import TorchPruningMagnitude, TorchPruningTaylor
from baselines.transkimmer import Transkimmer

__all__ = [
    "LTP",
    "CoFi",
    "CoFiFamily",
    "DistilBert",
    "Fisher",
    "FisherRecovered",
    "InforCoef",
    "Magnitude",
    "PowerBert",
    "Random",
    "TinyBert",
    "TorchPruningMagnitude",
    "TorchPruningTaylor",
    "Transkimmer",
]
