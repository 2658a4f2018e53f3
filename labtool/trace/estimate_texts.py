"""The estimate of a stream's quality in words, in the languages of `labtool.trace.explain.texts`."""

from __future__ import annotations

from collections.abc import Iterable

from labtool.trace.estimate import Estimate
from labtool.trace.explain.remark import Remark
from labtool.trace.ladder import plain

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "model": "By the E-model of ITU-T G.107, from what the packets show.",
        "wideband": "By the wideband E-model of ITU-T G.107.1, from what the packets show; its "
        "rating goes up to 129.",
        "codec": "{codec}: Ie {ie} ({source}).",
        "codec-loss": "{codec}: Ie {ie}, Bpl {bpl} ({source}).",
        "arrived": "Loss as the sound arrived: {loss} % of {expected} packets.",
        "passing": "Loss as the sound passed by: {loss} % of {expected} packets; what is lost after "
        "that is not counted.",
        "burst": "It comes in bursts {burst} times as long as random loss.",
        "late": "Of these, {late} came too late for a de-jitter buffer of {buffer} ms, which is "
        "assumed.",
        "none-late": "None came too late for a de-jitter buffer of {buffer} ms, which is assumed.",
        "reported": "Loss as its receiver reports it in RTCP: {loss} % of {expected} packets, taken "
        "as random; jitter is not counted.",
        "plain": "The receiver is taken to conceal what is missing (G.711 Appendix I); without that "
        "it is R {rating}, MOS {mos}.",
        "delay": "One-way delay {delay} ms: half of the round trip of {trip} ms that RTCP shows from "
        "here, a packet of {packet} ms, and the buffer of {buffer} ms.",
        "no-delay": "Delay is not counted: no RTCP report shows the round trip.",
        "rest": "Not counted: echo, noise, loudness, microphones and loudspeakers.",
        "none.unknown": "Not estimated: the codec is not known.",
        "none.video": "Not estimated: {codec} is not speech.",
        "none.several": "Not estimated: the codec changes within the stream ({codecs}).",
        "none.codec": "Not estimated: ITU-T G.113 publishes no value for {codec}.",
        "none.short": "Not estimated: it is less than two seconds of sound.",
        "none.sender": "Not estimated: it was captured where it was sent, and no RTCP report says "
        "what of it arrived.",
        "none.range": "Not estimated: {loss} % are lost or came too late, and ITU-T G.107 holds up to "
        "20 %. That is hardly understandable.",
        "none.loss": "Not estimated: {loss} % are lost, and ITU-T G.113 publishes no value for "
        "{codec} with loss.",
    },
    "zh": {
        "model": "按 ITU-T G.107 的 E 模型，根据数据包所见估算。",
        "wideband": "按 ITU-T G.107.1 的宽带 E 模型，根据数据包所见估算；其评分最高为 129。",
        "codec": "{codec}：Ie {ie}（{source}）。",
        "codec-loss": "{codec}：Ie {ie}，Bpl {bpl}（{source}）。",
        "arrived": "到达时的丢包：{expected} 个包中的 {loss} %。",
        "passing": "途经此处时的丢包：{expected} 个包中的 {loss} %；此后的丢失未计入。",
        "burst": "其突发长度是随机丢包的 {burst} 倍。",
        "late": "其中 {late} 个对假定的 {buffer} 毫秒去抖动缓冲来说太迟。",
        "none-late": "没有包对假定的 {buffer} 毫秒去抖动缓冲来说太迟。",
        "reported": "接收方在 RTCP 中报告的丢包：{expected} 个包中的 {loss} %，视为随机丢失；抖动"
        "未计入。",
        "plain": "假定接收方会掩盖丢失的部分（G.711 附录 I）；若不掩盖，则为 R {rating}，MOS {mos}。",
        "delay": "单向时延 {delay} 毫秒：RTCP 在此处显示的往返时间 {trip} 毫秒的一半，加上一个 "
        "{packet} 毫秒的包和 {buffer} 毫秒的缓冲。",
        "no-delay": "时延未计入：没有 RTCP 报告能给出往返时间。",
        "rest": "未计入：回声、噪声、响度、麦克风和扬声器。",
        "none.unknown": "不估算：不知道编解码器。",
        "none.video": "不估算：{codec} 不是语音。",
        "none.several": "不估算：流中途更换了编解码器（{codecs}）。",
        "none.codec": "不估算：ITU-T G.113 没有公布 {codec} 的数值。",
        "none.short": "不估算：声音不足两秒。",
        "none.sender": "不估算：这是在发送端抓取的，没有 RTCP 报告说明到达了多少。",
        "none.range": "不估算：{loss} % 丢失或到得太迟，而 ITU-T G.107 只适用于 20 % 以内。这样的声音"
        "几乎无法听懂。",
        "none.loss": "不估算：丢失了 {loss} %，而 ITU-T G.113 没有公布 {codec} 在丢包时的数值。",
    },
}

_COMMON = ("model", "wideband", "rest")


def rating(estimate: Estimate) -> str:
    """`MOS 4.4 (R 93)`; "" where there is none."""
    if estimate.rating is None:
        return ""
    return f"MOS {estimate.mos:.1f} (R {estimate.rating:.0f})"


def common(estimate: Estimate, language: str = "en") -> str:
    """What holds for every estimate of this kind: its model, and what is not counted."""
    return sentence((one for one in estimate.said if one.id in _COMMON), language)


def special(estimate: Estimate, language: str = "en") -> str:
    """What is this estimate's own: its figures, or why there is none."""
    return sentence((one for one in estimate.said if one.id not in _COMMON), language)


def sentence(said: Iterable[Remark], language: str = "en") -> str:
    """All that is said, safe to print."""
    texts = TEXTS[language]
    join = " " if language == "en" else ""
    return plain(join.join(texts[one.id].format_map(one.facts) for one in said))
