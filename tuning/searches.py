"""The ready searches, by name."""

from keras_ext.cli.search.definition import Definition

from .cnn import CNN
from .csv import CSV
from .digits import Digits
from .regression import Regression
from .rnn import RNN
from .wine import Wine

SEARCHES: dict[str, Definition] = {
    "digits": Digits(),
    "wine": Wine(),
    "regression": Regression(),
    "cnn": CNN(),
    "rnn": RNN(),
    "csv": CSV(),
}
