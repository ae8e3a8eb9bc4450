from lepton.client import Client as Client
from lepton.core import LeptonError as LeptonError, Resources as Resources, Work as Work
from lepton.data import Dataset as Dataset
from lepton.data.labelling import (
    consensus_labels as consensus_labels,
    find_leakage as find_leakage,
    measure_agreement as measure_agreement,
    unify_labels as unify_labels,
)
from lepton.data.media.convert import FileSteps as FileSteps
from lepton.data.recipes import Recipe as Recipe
from lepton.models import LeptonNet as LeptonNet
from lepton.serving.services import Service as Service, method as method
from lepton.training.estimators import (
    KMeans as KMeans,
    LinearRegression as LinearRegression,
    LogisticRegression as LogisticRegression,
    Ridge as Ridge,
)
from lepton.training.trainer import Trainer as Trainer
from lepton.verbs import (
    Model as Model,
    accelerate as accelerate,
    card as card,
    check as check,
    compare as compare,
    compress as compress,
    describe as describe,
    diff as diff,
    evaluate as evaluate,
    explain as explain,
    export as export,
    find_label_errors as find_label_errors,
    forget as forget,
    import_model as import_model,
    load as load,
    predict as predict,
    profile as profile,
    read as read,
    search as search,
    serve as serve,
    suggest as suggest,
    train as train,
    verify as verify,
    versions as versions,
)
from lepton.version import __version__ as __version__

__all__: list[str]

def __dir__() -> list[str]: ...
