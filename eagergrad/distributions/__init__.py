"""Probability distributions: sampling, densities, entropies, divergences."""

from eagergrad.distributions import constraints, kl_cross, transforms
from eagergrad.distributions.bernoulli import Bernoulli
from eagergrad.distributions.beta import Beta
from eagergrad.distributions.binomial import Binomial
from eagergrad.distributions.categorical import Categorical
from eagergrad.distributions.cauchy import Cauchy
from eagergrad.distributions.chi2 import Chi2
from eagergrad.distributions.constraint_registry import biject_to, transform_to
from eagergrad.distributions.continuous_bernoulli import ContinuousBernoulli
from eagergrad.distributions.dirichlet import Dirichlet
from eagergrad.distributions.distribution import Distribution
from eagergrad.distributions.exp_family import ExponentialFamily
from eagergrad.distributions.exponential import Exponential
from eagergrad.distributions.fishersnedecor import FisherSnedecor
from eagergrad.distributions.gamma import Gamma
from eagergrad.distributions.generalized_pareto import GeneralizedPareto
from eagergrad.distributions.geometric import Geometric
from eagergrad.distributions.gumbel import Gumbel
from eagergrad.distributions.half_cauchy import HalfCauchy
from eagergrad.distributions.half_normal import HalfNormal
from eagergrad.distributions.independent import Independent
from eagergrad.distributions.inverse_gamma import InverseGamma
from eagergrad.distributions.kl import kl_divergence, register_kl
from eagergrad.distributions.kumaraswamy import Kumaraswamy
from eagergrad.distributions.laplace import Laplace
from eagergrad.distributions.lkj_cholesky import LKJCholesky
from eagergrad.distributions.log_normal import LogNormal
from eagergrad.distributions.logistic_normal import LogisticNormal
from eagergrad.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from eagergrad.distributions.mixture_same_family import MixtureSameFamily
from eagergrad.distributions.multinomial import Multinomial
from eagergrad.distributions.multivariate_normal import MultivariateNormal
from eagergrad.distributions.negative_binomial import NegativeBinomial
from eagergrad.distributions.normal import Normal
from eagergrad.distributions.one_hot_categorical import (
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
)
from eagergrad.distributions.pareto import Pareto
from eagergrad.distributions.poisson import Poisson
from eagergrad.distributions.relaxed_bernoulli import LogitRelaxedBernoulli, RelaxedBernoulli
from eagergrad.distributions.relaxed_categorical import (
    ExpRelaxedCategorical,
    RelaxedOneHotCategorical,
)
from eagergrad.distributions.studentT import StudentT
from eagergrad.distributions.transformed_distribution import TransformedDistribution
from eagergrad.distributions.transforms import *
from eagergrad.distributions.uniform import Uniform
from eagergrad.distributions.von_mises import VonMises
from eagergrad.distributions.weibull import Weibull
from eagergrad.distributions.wishart import Wishart

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ContinuousBernoulli",
    "Dirichlet",
    "Distribution",
    "ExpRelaxedCategorical",
    "Exponential",
    "ExponentialFamily",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LogitRelaxedBernoulli",
    "LowRankMultivariateNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "StudentT",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "biject_to",
    "constraints",
    "kl_divergence",
    "register_kl",
    "transform_to",
    *transforms.__all__,
]
